-- The borrowers index: what each account owes in each reserve, in scaled units, as text since it may take 128 bits.

CREATE TABLE borrower_debt (
    asset TEXT NOT NULL,
    user TEXT NOT NULL,
    debt TEXT NOT NULL,
    PRIMARY KEY (asset, user)
) WITHOUT ROWID;

CREATE TABLE borrower_debt_mark (one INTEGER PRIMARY KEY CHECK (one = 1), to_block INTEGER NOT NULL);
