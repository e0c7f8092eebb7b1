"""A service that a layer needs: it listens on the port that SHOP_PORT names."""

import os
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"the shop is open\n")

    def log_message(self, *_):
        pass


HTTPServer(("127.0.0.1", int(os.environ["SHOP_PORT"])), Handler).serve_forever()
