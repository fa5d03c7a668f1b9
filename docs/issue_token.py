"""Sign a token for a user, as a website does: python3 docs/issue_token.py SECRET_FILE NAME [ROOM...] > token"""

import sys
import time
from pathlib import Path

import jwt  # pip install pyjwt

if len(sys.argv) < 3:
    sys.exit(__doc__)
file, name, *rooms = sys.argv[1:]
try:
    secret = Path(file).read_bytes().strip()
    "".join((name, *rooms)).encode()
except UnicodeEncodeError:
    sys.exit("issue_token: write names in UTF-8")
except OSError as exc:
    sys.exit(f"issue_token: {file}: {exc.strerror}")
if len(secret) < 32:
    sys.exit(f"issue_token: {file} has {len(secret)} bytes, a secret at least 32 (openssl rand -hex 32)")
claims = {"name": name, "rooms": rooms or ["*"], "create": True, "exp": int(time.time()) + 300, "aud": "tsudoi"}
print(jwt.encode(claims, secret, algorithm="HS256"))
