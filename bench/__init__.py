"""The benchmark: Parley and the Node.js servers people would pick instead, on one machine."""
