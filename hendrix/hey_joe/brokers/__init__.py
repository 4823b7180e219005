"""What may carry the messages of a hub: `memory`, or an engine by which the hubs of several nodes are one."""
