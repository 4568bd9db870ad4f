"""Looking at untrusted files, in processes of their own. Nothing here may import another room."""
