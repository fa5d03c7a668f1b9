"""Sockets: TCP connections, TLS, UDP datagrams. Nothing here decides who may enter or what a message means."""
