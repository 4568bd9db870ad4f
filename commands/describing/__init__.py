"""The older wire as machines read it: REST as OpenAPI, Socket.IO as AsyncAPI."""
