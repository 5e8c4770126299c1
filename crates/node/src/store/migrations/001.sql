-- Version 1 of a node's store. A published migration is never edited: the next change is the next file.
-- Times are seconds since 1970 (UTC). Numbers that come from others are 64 bits without sign, kept as the same bits.

-- Letters that go out. The bytes go when a receipt has come; the row stays, so that nothing is prepared twice.
CREATE TABLE outgoing (
    place       INTEGER PRIMARY KEY,
    id          BLOB    NOT NULL UNIQUE CHECK (length(id) = 32),
    receiver    BLOB    NOT NULL CHECK (length(receiver) = 20),
    number      INTEGER NOT NULL,
    mailbox     BLOB    NOT NULL CHECK (length(mailbox) = 20),
    purpose     TEXT    NOT NULL,
    bytes       BLOB,
    made        INTEGER NOT NULL,
    tries       INTEGER NOT NULL DEFAULT 0,
    next        INTEGER NOT NULL,
    delivered   INTEGER,
    UNIQUE (receiver, purpose),
    UNIQUE (receiver, number),
    CHECK ((bytes IS NULL) = (delivered IS NOT NULL))
) STRICT;
CREATE INDEX outgoing_due ON outgoing (next) WHERE delivered IS NULL;

-- Letters that came in. The content goes when it was dealt with; the row stays, so that the letter is known again.
CREATE TABLE incoming (
    place       INTEGER PRIMARY KEY,
    id          BLOB    NOT NULL UNIQUE CHECK (length(id) = 32),
    author      BLOB    NOT NULL CHECK (length(author) = 20),
    number      INTEGER NOT NULL,
    content     TEXT,
    head_number INTEGER NOT NULL,
    head_hash   BLOB    NOT NULL CHECK (length(head_hash) = 32),
    taken       INTEGER NOT NULL,
    done        INTEGER,
    UNIQUE (author, number),
    CHECK ((content IS NULL) = (done IS NOT NULL))
) STRICT;
CREATE INDEX incoming_unread ON incoming (place) WHERE done IS NULL;

-- What a person decides.
CREATE TABLE questions (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    key          TEXT    NOT NULL UNIQUE,
    kind         TEXT    NOT NULL,
    title        TEXT    NOT NULL,
    text         TEXT    NOT NULL,
    facts        TEXT    NOT NULL,
    due          INTEGER,
    asked        INTEGER NOT NULL,
    yes          INTEGER CHECK (yes IN (0, 1)),
    because      TEXT,
    answered_by  TEXT,
    answered     INTEGER,
    taken_back   TEXT,
    taken_back_at INTEGER,
    CHECK ((yes IS NULL) = (answered IS NULL) AND (yes IS NULL) = (because IS NULL) AND (yes IS NULL) = (answered_by IS NULL)),
    CHECK ((taken_back IS NULL) = (taken_back_at IS NULL)),
    CHECK (yes IS NULL OR taken_back IS NULL)
) STRICT;

-- What the operator has asked the node to do.
CREATE TABLE wishes (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    kind         TEXT    NOT NULL,
    what         TEXT    NOT NULL,
    made         INTEGER NOT NULL,
    state        TEXT    NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'failed')),
    outcome      TEXT,
    ended        INTEGER,
    progress     TEXT    NOT NULL DEFAULT '',
    CHECK ((state = 'open') = (outcome IS NULL) AND (state = 'open') = (ended IS NULL))
) STRICT;

-- The log for people; the newest are kept.
CREATE TABLE notes (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    time         INTEGER NOT NULL,
    level        INTEGER NOT NULL CHECK (level IN (1, 2, 3)),
    about        TEXT    NOT NULL,
    text         TEXT    NOT NULL
) STRICT;

-- Small facts by name.
CREATE TABLE facts (
    key          TEXT    PRIMARY KEY,
    value        BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
