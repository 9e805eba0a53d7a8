"""What is between hosts: rules, links, and what TCP makes of a packet that is late or lost."""
