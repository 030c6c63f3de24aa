-- The mirror as the worker last saved it, in pieces; meta's 'snapshot' names the complete one, "id:block".

CREATE TABLE snapshot (id INTEGER NOT NULL, n INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (id, n)) WITHOUT ROWID;
