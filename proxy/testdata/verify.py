"""Completes TLS with 127.0.0.1:PORT as NAME under the roots of a PEM file: verify.py ROOTS [NAME PORT]..."""
import socket
import ssl
import sys

context = ssl.create_default_context(cafile=sys.argv[1])
for name, port in zip(sys.argv[2::2], sys.argv[3::2]):
    try:
        with socket.create_connection(("127.0.0.1", int(port))) as plain:
            with context.wrap_socket(plain, server_hostname=name):
                print(name, "accepted")
    except ssl.SSLError as e:
        print(name, "refused", e)
