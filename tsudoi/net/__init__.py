"""The SDK's I/O: sockets, tasks, time-outs."""
