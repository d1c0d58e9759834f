-- The fund. All that belongs to an organization lies in its shard: 16 hash partitions by organization_id, the same for every
-- table. Months are numbers: year × 12 + month − 1. Amounts are whole paise.
CREATE TABLE organizations (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY HASH (id);

CREATE TABLE members (
    organization_id uuid NOT NULL REFERENCES organizations,
    id uuid NOT NULL,
    -- What filings call them.
    number text NOT NULL,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, number)
) PARTITION BY HASH (organization_id);
CREATE INDEX members_name ON members (lower(name) text_pattern_ops);

-- What moved, and why; each once.
CREATE TABLE transactions (
    organization_id uuid NOT NULL REFERENCES organizations,
    id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('contribution', 'interest', 'claim', 'payment', 'return')),
    -- A month, a year or a claim.
    reference text NOT NULL,
    -- The month it counts in.
    month integer NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, kind, reference)
) PARTITION BY HASH (organization_id);

-- Double entry: what an account receives is positive. Those of an organization have no member.
CREATE SEQUENCE entries_seq;
CREATE TABLE entries (
    organization_id uuid NOT NULL,
    seq bigint NOT NULL DEFAULT nextval('entries_seq'),
    transaction_id uuid NOT NULL,
    account text NOT NULL,
    member_id uuid,
    paise bigint NOT NULL CHECK (paise <> 0),
    PRIMARY KEY (organization_id, seq),
    -- That transaction and member are there says the trigger below, which looks once for a statement.
    CHECK (CASE WHEN member_id IS NULL THEN account IN ('received', 'interest', 'payable', 'paid')
           ELSE account IN ('employee', 'employer', 'pension') END)
) PARTITION BY HASH (organization_id);
CREATE INDEX entries_transaction ON entries (organization_id, transaction_id);
CREATE INDEX entries_member ON entries (organization_id, member_id, account);

-- What an organization filed for a month.
CREATE TABLE filings (
    organization_id uuid NOT NULL REFERENCES organizations,
    month integer NOT NULL,
    sha256 bytea NOT NULL,
    lines integer NOT NULL,
    total_paise bigint NOT NULL CHECK (total_paise > 0),
    transaction_id uuid NOT NULL,
    filed_by uuid NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, month),
    -- When the filing is written, its transaction is yet to be.
    FOREIGN KEY (organization_id, transaction_id) REFERENCES transactions (organization_id, id) DEFERRABLE INITIALLY DEFERRED
) PARTITION BY HASH (organization_id);
CREATE TABLE filing_lines (
    organization_id uuid NOT NULL,
    month integer NOT NULL,
    line integer NOT NULL,
    member_id uuid NOT NULL,
    wage_paise bigint NOT NULL CHECK (wage_paise >= 0),
    employee_paise bigint NOT NULL CHECK (employee_paise >= 0),
    employer_paise bigint NOT NULL CHECK (employer_paise >= 0),
    pension_paise bigint NOT NULL CHECK (pension_paise >= 0),
    PRIMARY KEY (organization_id, month, member_id)
) PARTITION BY HASH (organization_id);

-- The rate of a year that is over; from then on nothing is filed for it any more. A year is named by its April.
CREATE TABLE interest_years (
    year integer PRIMARY KEY,
    rate_bp integer NOT NULL CHECK (rate_bp BETWEEN 1 AND 10000),
    declared_by uuid NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);

-- Who may do what. A member acts for themselves, an employer for their organization, an officer for the fund.
CREATE TABLE appointments (
    user_id uuid PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    role text NOT NULL,
    organization_id uuid REFERENCES organizations,
    member_id uuid,
    FOREIGN KEY (organization_id, member_id) REFERENCES members (organization_id, id),
    CHECK ((role = 'officer' AND organization_id IS NULL AND member_id IS NULL)
        OR (role = 'employer' AND organization_id IS NOT NULL AND member_id IS NULL)
        OR (role = 'member' AND organization_id IS NOT NULL AND member_id IS NOT NULL))
);

CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;

-- Each statement that writes entries leaves every transaction balanced, so every transaction always is. Looked at once for a
-- statement, not once for a row: a filing writes thirty thousand of them in one, and as many foreign keys took seconds.
CREATE FUNCTION balanced() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong record;
BEGIN
    SELECT transaction_id, sum(paise) AS off_by INTO wrong
        FROM written GROUP BY organization_id, transaction_id HAVING sum(paise) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'transaction % does not balance: % paise', wrong.transaction_id, wrong.off_by
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT w.transaction_id, w.member_id INTO wrong FROM written w
        LEFT JOIN transactions t ON t.organization_id = w.organization_id AND t.id = w.transaction_id
        LEFT JOIN members m ON m.organization_id = w.organization_id AND m.id = w.member_id
        WHERE t.id IS NULL OR (w.member_id IS NOT NULL AND m.id IS NULL) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'no such transaction (%) or member (%)', wrong.transaction_id, wrong.member_id
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;

-- A line is of a filing and of a member that are there.
CREATE FUNCTION known() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM written w
        LEFT JOIN filings f ON f.organization_id = w.organization_id AND f.month = w.month
        LEFT JOIN members m ON m.organization_id = w.organization_id AND m.id = w.member_id
        WHERE f.month IS NULL OR m.id IS NULL) THEN
        RAISE EXCEPTION 'a line is of no filing or no member' USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER entries_append_only BEFORE UPDATE OR DELETE ON entries FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER transactions_append_only BEFORE UPDATE OR DELETE ON transactions FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER filing_lines_append_only BEFORE UPDATE OR DELETE ON filing_lines FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER members_stay BEFORE DELETE ON members FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER filings_stay BEFORE DELETE ON filings FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER filing_lines_known AFTER INSERT ON filing_lines REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION known();
CREATE TRIGGER entries_balanced AFTER INSERT ON entries REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION balanced();

DO $$
DECLARE
    parent text;
    shard text;
    remainder integer;
BEGIN
    FOREACH parent IN ARRAY ARRAY['organizations', 'members', 'transactions', 'entries', 'filings', 'filing_lines'] LOOP
        FOR remainder IN 0..15 LOOP
            shard := parent || '_' || lpad(remainder::text, 2, '0');
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES WITH (MODULUS 16, REMAINDER %s)', shard, parent, remainder);
            IF parent = 'entries' THEN
                -- Nor does anybody get past it who writes into a shard directly.
                EXECUTE format('CREATE TRIGGER entries_balanced AFTER INSERT ON %I REFERENCING NEW TABLE AS written '
                    'FOR EACH STATEMENT EXECUTE FUNCTION balanced()', shard);
            END IF;
            IF parent = 'filing_lines' THEN
                EXECUTE format('CREATE TRIGGER filing_lines_known AFTER INSERT ON %I REFERENCING NEW TABLE AS written '
                    'FOR EACH STATEMENT EXECUTE FUNCTION known()', shard);
            END IF;
            IF parent IN ('members', 'entries', 'transactions', 'filings', 'filing_lines') THEN
                EXECUTE format('CREATE TRIGGER nothing_truncated BEFORE TRUNCATE ON %I '
                    'FOR EACH STATEMENT EXECUTE FUNCTION refuse()', shard);
            END IF;
        END LOOP;
    END LOOP;
END $$;
