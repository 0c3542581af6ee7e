"""Prints the status of `/health` of the server at a Unix socket; fails where nobody answers."""

import http.client
import socket
import sys

with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
    connection.settimeout(5)
    try:
        connection.connect(sys.argv[1])
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: local\r\nConnection: close\r\n\r\n")
        answer = http.client.HTTPResponse(connection)
        answer.begin()
    except (OSError, http.client.HTTPException):
        sys.exit(1)
    print(answer.status)
