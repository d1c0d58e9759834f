-- Accounts, what must not happen twice, and the audit that nobody can rewrite.
CREATE TABLE accounts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- As people see it, in lower case; "C" so that a prefix search and paging use the index.
    name text COLLATE "C" NOT NULL,
    -- What it looks like: two names that fold alike are one name.
    folded text COLLATE "C" NOT NULL,
    role text NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'admin')),
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz,
    -- False until the filter is known to hold the name; swept once a second.
    in_filter boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX accounts_folded ON accounts (folded);
CREATE INDEX accounts_name ON accounts (name);
CREATE INDEX accounts_not_in_filter ON accounts (id) WHERE NOT in_filter;
CREATE INDEX accounts_created ON accounts (created_at);

CREATE TABLE idempotency_keys (
    scope text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    status smallint,
    body jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);

CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    act text NOT NULL,
    subject text NOT NULL,
    outcome text NOT NULL,
    correlation text NOT NULL
);

CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER audit_rows_stay BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_is_append_only();
CREATE TRIGGER audit_stays BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
