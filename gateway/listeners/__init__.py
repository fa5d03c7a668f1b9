"""Sockets: TCP connections, TLS, UDP datagrams. No decision about rooms and members is made here."""
