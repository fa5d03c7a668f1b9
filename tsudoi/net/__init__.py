"""The shell of the SDK: sockets, tasks, time-outs."""
