"""Hold what `identify` writes around the explanations, in English and Japanese."""

from tsudoi.protocol.client.words import Words

READY = Words(
    "{listeners}\nStart your client against these ports. Nothing is kept; Ctrl-C ends.",
    "{listeners}\nこのポートにクライアントをつないでください。何も保存しません。Ctrl-C で終わります。",
)
LOST = Words(
    "(nothing read this: {count} steps are not shown)", "（読み手が止まっていたため、{count} 件は表示されていません）"
)
REQUEST = Words("TCP from {peer}, listener {listener}", "TCP {peer} から、リスナー {listener}")
SO_FAR = Words(
    "TCP from {peer}, listener {listener}: so far, {more} more bytes are awaited",
    "TCP {peer} から、リスナー {listener}: ここまで。あと {more} バイト待っている",
)
ROOM_CHOSEN = Words("the client chooses a room", "クライアントがルームを選ぶ")
PORT_ANNOUNCED = Words("TCP from {peer}: after its token", "TCP {peer} から: トークンの後")
ANSWER = Words("answer", "返事")
DATAGRAM = Words("UDP from {peer}", "UDP {peer} から")
DOWN = Words("UDP to {peer}, {name} ({dialect})", "UDP {peer} へ、{name} ({dialect})")
DOWN_TO_MANY = Words("UDP to {count} members ({dialect})", "UDP {count} 人へ ({dialect})")
DOWN_TO_OTHER = Words("UDP to {peer}", "UDP {peer} へ")

READ_AS = Words("read as {dialect}: {why}", "{dialect} として読んだ: {why}")
LISTENERS = Words("the listener is for it", "このリスナーの方言")
AUTO_WOULD = Words("auto would take it for {dialect}: {why}", "auto なら {dialect} とみなす: {why}")
OUTCOME = Words("outcome: {outcome}", "結果: {outcome}")
HINT = Words("hint: {hint}", "ヒント: {hint}")
DIALECTS = Words("what the dialects make of it, and answer (T is a token):", "各方言での読み方と返事 (T はトークン):")
AS_REQUEST = Words(
    "{operation} room {room} for user {user}{password}{port}",
    "ルーム {room} をユーザー {user} として{operation}{password}{port}",
)
WITH_PASSWORD = Words(", with a password", "、パスワード付き")
WITH_PORT = Words(", UDP port {port}", "、UDP ポート {port}")
REFUSES = Words("refused: {why}", "拒否: {why}")
CHARACTERS = Words("{text}, {size} bytes, {count} characters", "{text}、{size} バイト、{count} 文字")
MORE = Words("… {count} more bytes", "… あと {count} バイト")
TOKEN = Words("{size} characters", "{size} 文字")
AND = Words(", ", "、")
NOT_SHOWN = Words("({count} more came too fast to be shown)", "(ほかに {count} 件、速すぎたため表示しない)")

ENDS = {
    words.en: words
    for words in (
        Words("the client closed the connection", "クライアントが接続を閉じた"),
        Words("its time was up", "時間切れ"),
        Words("the connection was lost", "接続が切れた"),
    )
}
"""How connections end; the words of a refusal stay those of the wire."""

DATAGRAM_OUTCOMES: dict[str, Words] = {
    "wrong_rooms": Words("dropped: the token belongs to another room", "破棄: トークンは別のルームのもの"),
    "wrong_addresses": Words(
        "dropped: it comes from another IP address than the member's (--check-ip strict)",
        "破棄: メンバーとは別の IP アドレスから届いた (--check-ip strict)",
    ),
    "moves_limited": Words("dropped: the member's address changes too often", "破棄: アドレスの変更が多すぎる"),
    "malformed_datagrams": Words("dropped: malformed", "破棄: 形式の誤り"),
    "unknown_tokens": Words("dropped: no known token", "破棄: 知らないトークン"),
    "guesses_limited": Words(
        "dropped: too many unknown tokens from this address", "破棄: このアドレスからの未知のトークンが多すぎる"
    ),
    "exit_answers": Words("answered with «exit!», as classic clients need it", "«exit!» を返した (classic 用)"),
    "rate_limited": Words("dropped: the member sends too fast", "破棄: 送信が速すぎる"),
    "address_limited": Words("dropped: its address sends too fast", "破棄: このアドレスの送信が速すぎる"),
    "room_limited": Words("dropped: too much is said in the room", "破棄: ルームの発言が多すぎる"),
    "window_full": Words("dropped: too much waits for the broker", "破棄: ブローカー待ちが多すぎる"),
    "commands": Words("accepted: a command", "受理: コマンド"),
    "accepted_messages": Words("accepted: a message to the room", "受理: ルームへの発言"),
}
"""Counter → what it means for the datagram that it counted. Refusals first: what comes first is shown."""
PACKET_OUTCOMES: dict[str, Words] = {
    "opened": Words("opened, and its lines are carried out", "開封し、各行を実行した"),
    "retry": Words(
        "answered with a retry: this session is not served at this address in this run; send its cookie in a resume",
        "retry を返した: このセッションはこのアドレス・このランでは未提供。cookie を resume で返すこと",
    ),
    "malformed": Words(
        "dropped: malformed: more than 1,200 bytes, or of a kind that servers send",
        "破棄: 形式の誤り: 1,200 バイトを超えるか、サーバーが送る種類",
    ),
    "forged": Words(
        "dropped: it does not open: the key is that for up, the nonce the 12 bytes from run to count, the associated "
        "data all 30 bytes of the header",
        "破棄: 開封できない: 鍵は up 用、nonce はランと番号の 12 バイト、関連データはヘッダー 30 バイト全部",
    ),
    "late": Words(
        "dropped unread: this server is behind, and the client repeats it",
        "読まずに破棄: サーバーの処理が遅れている。クライアントが送り直す",
    ),
    "limited": Words(
        "dropped unread: too many packets of this session from where it has not resumed",
        "読まずに破棄: 再開していない場所から、このセッションのパケットが多すぎる",
    ),
    "replayed": Words("dropped: this count has come before", "破棄: この番号はすでに届いている"),
    "unknown": Words("dropped: its session is none of this server's", "破棄: このサーバーのセッションではない"),
}
"""Counter of `packets.counted` → what it means for the packet that it counted."""
NO_LINES = Words(
    "dropped: it opens, but a line of its body is no JSON object as it should be",
    "破棄: 開封できたが、本体に正しい JSON オブジェクトでない行がある",
)
DIRECTORY_ASKED = Words("the directory is asked for its session", "セッションをディレクトリに問い合わせ中")
LINE = Words("line: {line}", "行: {line}")
MOVED = Words("the member's address is {peer} now", "メンバーのアドレスは {peer} になった")
LEAVES = Words("accepted: the member leaves", "受理: 退室")
SIGN_OF_LIFE = Words(
    "accepted: it shows that the member is there, and where", "受理: メンバーがいること、その場所を示すだけ"
)
ASKED_FOR = Words(
    "dropped: neither this gateway nor the directory knows the token",
    "破棄: このゲートウェイもディレクトリも知らないトークン",
)
