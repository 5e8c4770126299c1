CREATE TABLE hub (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    identity BLOB NOT NULL CHECK (length(identity) = 32)
) STRICT;

CREATE TABLE letters (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    mailbox BLOB NOT NULL CHECK (length(mailbox) = 20),
    id BLOB NOT NULL CHECK (length(id) = 32),
    sender BLOB NOT NULL CHECK (length(sender) = 20),
    guest INTEGER NOT NULL CHECK (guest IN (0, 1)),
    posted_at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    UNIQUE (mailbox, id)
) STRICT;

-- Each is enough for a sum or a count, so that no letter is read for it.
CREATE INDEX letters_of_sender ON letters (sender, mailbox, size);
CREATE INDEX letters_of_mailbox ON letters (mailbox, guest, size);
CREATE INDEX letters_by_age ON letters (posted_at, size);
