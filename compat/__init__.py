"""The older wire: the REST routes and Socket.IO events of the Node.js server that came before.

Handlers only translate: read the body, call one operation of `resolvers`, write the answer.
"""
