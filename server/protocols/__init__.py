"""uvicorn's two protocols, HTTP and WebSocket, with bounds on whatever a peer may send."""
