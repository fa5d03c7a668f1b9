"""Sign a token for a user, as a website does; with --webhook, for a program that posts (PROTOCOL.md, "Webhook"):

python3 docs/issue_token.py [--webhook] SECRET_FILE NAME [ROOM...] > token
"""

import sys
import time
from pathlib import Path

import jwt  # pip install pyjwt

words = sys.argv[1:]
is_webhook = words[:1] == ["--webhook"]
if len(words) < 2 + is_webhook:
    sys.exit(__doc__)
file, name, *rooms = words[is_webhook:]
try:
    secret = Path(file).read_bytes().strip()
    "".join((name, *rooms)).encode()
except UnicodeEncodeError:
    sys.exit("issue_token: write names in UTF-8")
except OSError as exc:
    sys.exit(f"issue_token: {file}: {exc.strerror}")
if len(secret) < 32:
    sys.exit(f"issue_token: {file} has {len(secret)} bytes, a secret at least 32 (openssl rand -hex 32)")
now, claims = int(time.time()), {"name": name, "rooms": rooms or ["*"]}
if is_webhook:
    more = {"aud": "tsudoi-webhook", "exp": now + 30 * 86_400}
else:
    more = {"aud": "tsudoi", "exp": now + 300, "create": True}
print(jwt.encode({**claims, **more}, secret, algorithm="HS256"))
