"""The Socket.IO and Engine.IO server. It knows nothing of chat."""
