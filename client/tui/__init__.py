"""The whole screen of the terminal client, by area; `client/state` decides what stands there."""
