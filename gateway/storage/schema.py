"""The tables, as the steps that made them.

Step *n* takes a database of version *n* to *n* + 1; the version stands in SQLite's
``user_version``.  Steps that were released never change: a new one is added.  Each runs in
one transaction of its own.  Times (*created*, *updated*, *at* ...) are Unix seconds.
"""

from typing import Final

STEPS: Final[tuple[str, ...]] = (
    """
    CREATE TABLE sessions (
        id TEXT PRIMARY KEY,
        agent_id TEXT NOT NULL,
        title TEXT NOT NULL,
        created REAL NOT NULL,
        updated REAL NOT NULL,
        message_count INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE INDEX sessions_by_age ON sessions (updated, id);

    -- *principal* and *key* name a request that may come twice; *digest* is of its params.
    CREATE TABLE runs (
        id TEXT PRIMARY KEY,
        session_id TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
        agent_id TEXT NOT NULL,
        principal TEXT,
        key TEXT,
        digest BLOB,
        state TEXT NOT NULL,
        kind TEXT,
        error TEXT,
        usage TEXT,
        created REAL NOT NULL,
        finished REAL,
        UNIQUE (principal, key)
    ) WITHOUT ROWID;
    CREATE INDEX runs_of_session ON runs (session_id);
    CREATE INDEX runs_unfinished ON runs (state) WHERE state IN ('queued', 'running');

    -- *turn* orders: a question gets it when its run starts, so that its answer is next to
    -- it although others were asked meanwhile.  Until then it is beyond all others.
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        session_id TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
        run_id TEXT,
        turn INTEGER NOT NULL,
        role TEXT NOT NULL,
        content TEXT NOT NULL,
        created REAL NOT NULL,
        state TEXT NOT NULL,
        compacted INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX messages_in_order ON messages (session_id, turn, id);
    CREATE UNIQUE INDEX messages_of_run ON messages (run_id, role);

    CREATE TABLE idempotency (
        principal TEXT NOT NULL,
        method TEXT NOT NULL,
        key TEXT NOT NULL,
        digest BLOB NOT NULL,
        result BLOB NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (principal, method, key)
    ) WITHOUT ROWID;
    CREATE INDEX idempotency_by_age ON idempotency (at);
    """,
    """
    -- *changed* is a JSON list of paths.  AUTOINCREMENT: a number is never given twice, so
    -- that a rollback to one that has been dropped cannot lead to another.
    CREATE TABLE config_revisions (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        at REAL NOT NULL,
        who TEXT NOT NULL,
        hash TEXT NOT NULL,
        changed TEXT NOT NULL,
        text TEXT NOT NULL
    );
    """,
    """
    -- A run may use tools: *calls* is a JSON list of what an assistant wanted, *call_id* says
    -- of which call a tool's message is the result.  Question and answer are still one each.
    ALTER TABLE messages ADD COLUMN calls TEXT;
    ALTER TABLE messages ADD COLUMN call_id TEXT;
    DROP INDEX messages_of_run;
    CREATE UNIQUE INDEX messages_of_run ON messages (run_id, role)
        WHERE calls IS NULL AND call_id IS NULL;
    CREATE INDEX messages_by_run ON messages (run_id);

    -- Where the question came from; questions of before came from clients of the owner.
    ALTER TABLE runs ADD COLUMN provenance TEXT NOT NULL DEFAULT 'owner';
    """,
    """
    -- *account* is platform:name.  A message is taken once, however often it comes.
    CREATE TABLE inbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        account TEXT NOT NULL,
        message_id TEXT NOT NULL,
        chat TEXT NOT NULL,
        thread TEXT,
        sender TEXT NOT NULL,
        sender_name TEXT NOT NULL,
        text TEXT NOT NULL,
        at REAL NOT NULL,
        direct INTEGER NOT NULL,
        mentioned INTEGER NOT NULL,
        reply_to TEXT,
        attachments TEXT,
        state TEXT NOT NULL,
        received REAL NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        agent_id TEXT,
        session_id TEXT,
        preview TEXT,
        run_id TEXT,
        UNIQUE (account, message_id)
    );
    CREATE INDEX inbox_open ON inbox (id) WHERE state IN ('received', 'claimed');
    CREATE INDEX inbox_by_age ON inbox (received);

    CREATE TABLE cursors (account TEXT PRIMARY KEY, cursor TEXT NOT NULL) WITHOUT ROWID;

    CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        account TEXT NOT NULL,
        chat TEXT NOT NULL,
        thread TEXT,
        text TEXT NOT NULL,
        key TEXT NOT NULL UNIQUE,
        expires REAL NOT NULL,
        reply_to TEXT,
        edits TEXT,
        media TEXT,
        markup INTEGER NOT NULL,
        state TEXT NOT NULL,
        created REAL NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        doubtful INTEGER NOT NULL DEFAULT 0,
        message_id TEXT,
        error TEXT,
        settled REAL
    );
    CREATE INDEX outbox_open ON outbox (account, id) WHERE state IN ('pending', 'sending');
    CREATE INDEX outbox_by_age ON outbox (settled);

    -- Which session a chat is in.  *thread* is empty where there is none.
    CREATE TABLE chats (
        account TEXT NOT NULL,
        chat TEXT NOT NULL,
        thread TEXT NOT NULL,
        session_id TEXT NOT NULL,
        agent_id TEXT NOT NULL,
        used REAL NOT NULL,
        PRIMARY KEY (account, chat, thread)
    ) WITHOUT ROWID;

    -- Who may talk to an account beside those in the configuration, and who wants to.
    CREATE TABLE senders (
        account TEXT NOT NULL,
        sender TEXT NOT NULL,
        name TEXT NOT NULL,
        owner INTEGER NOT NULL,
        approved REAL NOT NULL,
        approved_by TEXT NOT NULL,
        PRIMARY KEY (account, sender)
    ) WITHOUT ROWID;
    CREATE TABLE pairings (
        code TEXT PRIMARY KEY,
        account TEXT NOT NULL,
        sender TEXT NOT NULL,
        name TEXT NOT NULL,
        chat TEXT NOT NULL,
        created REAL NOT NULL,
        UNIQUE (account, sender)
    ) WITHOUT ROWID;
    """,
    """
    -- Deliveries of webhooks that were taken: *mark* is a digest of the content or of the
    -- sender's id, *result* the JSON that was answered.
    CREATE TABLE deliveries (
        hook TEXT NOT NULL,
        mark BLOB NOT NULL,
        result BLOB NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (hook, mark)
    ) WITHOUT ROWID;
    CREATE INDEX deliveries_by_age ON deliveries (at);
    """,
    """
    -- Files in the media directory, under their *id*.  *account* is empty where a client has
    -- put it; *inbox_id* and *place* say which attachment of which message it was.
    CREATE TABLE media (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        mime TEXT NOT NULL,
        size INTEGER NOT NULL,
        created REAL NOT NULL,
        account TEXT NOT NULL,
        inbox_id INTEGER,
        place INTEGER,
        UNIQUE (inbox_id, place)
    );
    CREATE INDEX media_by_age ON media (created);
    CREATE INDEX media_sizes ON media (size);

    -- What became of a message's attachments, as JSON; once written it does not change.
    ALTER TABLE inbox ADD COLUMN files TEXT;
    """,
    """
    -- Whose messages and cursor are kept under the name of an account.
    CREATE TABLE identities (account TEXT PRIMARY KEY, whose TEXT NOT NULL) WITHOUT ROWID;
    """,
)
