"""A capture (pcapng) of all that crossed the virtual network, as Wireshark, tshark and editcap read it."""
