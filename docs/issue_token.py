"""Sign a token for a user, as a website does: python3 docs/issue_token.py SECRET_FILE NAME [ROOM...] > token"""

import sys
import time
from pathlib import Path

import jwt  # pip install pyjwt

if len(sys.argv) < 3:
    sys.exit(__doc__)
secret, name, rooms = Path(sys.argv[1]).read_bytes().strip(), sys.argv[2], sys.argv[3:]
claims = {"name": name, "rooms": rooms or ["*"], "create": True, "exp": int(time.time()) + 300, "aud": "tsudoi"}
print(jwt.encode(claims, secret, algorithm="HS256"))
