-- The first schema. Migrations are applied in the order of their numbers, each in one transaction; a file that was
-- released is never edited again.

CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

INSERT INTO meta VALUES ('epoch', lower(hex(randomblob(16))));

-- Written by the worker

CREATE TABLE opportunity (
    id INTEGER PRIMARY KEY,
    user TEXT NOT NULL,
    episode INTEGER NOT NULL,
    seen_at REAL NOT NULL,
    state TEXT NOT NULL,
    open INTEGER NOT NULL,
    body TEXT NOT NULL
);

CREATE INDEX opportunity_seen ON opportunity (seen_at);

CREATE INDEX opportunity_episode ON opportunity (episode);

CREATE INDEX opportunity_open ON opportunity (id) WHERE open;

CREATE TABLE outbox (n INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL, at REAL NOT NULL);

CREATE TABLE controls (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, body TEXT NOT NULL);

CREATE TABLE borrower (n INTEGER PRIMARY KEY AUTOINCREMENT, user TEXT NOT NULL UNIQUE);

CREATE TABLE discovery (one INTEGER PRIMARY KEY CHECK (one = 1), to_block INTEGER NOT NULL);

-- Written by the bot; the worker marks commands and answers questions

CREATE TABLE command (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL,
    stored_at REAL NOT NULL,
    handled_at REAL
);

CREATE INDEX command_unhandled ON command (n) WHERE handled_at IS NULL;

CREATE TABLE question (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    body TEXT NOT NULL,
    deadline REAL NOT NULL,
    answer TEXT
);

CREATE TABLE telegram_update (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    id INTEGER NOT NULL UNIQUE,
    body TEXT NOT NULL,
    stored_at REAL NOT NULL,
    done_at REAL
);

CREATE INDEX telegram_update_pending ON telegram_update (n) WHERE done_at IS NULL;

CREATE TABLE outbox_cursor (one INTEGER PRIMARY KEY CHECK (one = 1), n INTEGER NOT NULL);

CREATE TABLE alert (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    episode_key TEXT NOT NULL UNIQUE,
    opened_at REAL NOT NULL,
    board TEXT NOT NULL,
    body TEXT NOT NULL
);

CREATE INDEX alert_opened ON alert (opened_at, n);

CREATE INDEX alert_board ON alert (board, opened_at, n);

-- place: the order in which deliveries began to wait

CREATE TABLE delivery (
    key TEXT NOT NULL,
    chat_id INTEGER NOT NULL,
    lane TEXT NOT NULL,
    content TEXT NOT NULL,
    state TEXT NOT NULL,
    message_id INTEGER,
    revision INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    not_before REAL NOT NULL,
    note TEXT NOT NULL,
    place INTEGER NOT NULL,
    PRIMARY KEY (key, chat_id)
);

CREATE INDEX delivery_place ON delivery (place);

CREATE INDEX delivery_due ON delivery (lane, place) WHERE state IN ('queued', 'unknown');

CREATE INDEX delivery_sending ON delivery (state) WHERE state = 'sending';

CREATE TABLE confirmation (
    user_id INTEGER NOT NULL,
    chat_id INTEGER NOT NULL,
    code TEXT NOT NULL,
    command TEXT NOT NULL,
    expires_at REAL NOT NULL,
    PRIMARY KEY (user_id, chat_id)
) WITHOUT ROWID;

-- Written by both, each its own rows

CREATE TABLE presence (
    process TEXT PRIMARY KEY,
    instance TEXT NOT NULL,
    version TEXT NOT NULL,
    at REAL NOT NULL,
    body TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE lease (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    token INTEGER NOT NULL,
    expires_at REAL NOT NULL
) WITHOUT ROWID;
