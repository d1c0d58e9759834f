-- Customers, those who may see them, and an audit whose every row holds the hash of the one before.
CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE TABLE customers (
    id uuid PRIMARY KEY,
    -- Grows by one with every change; it is the entity tag.
    version bigint NOT NULL DEFAULT 1,
    name text COLLATE "C" NOT NULL,
    email text NOT NULL,
    phone text NOT NULL DEFAULT '',
    company text NOT NULL DEFAULT '',
    street text NOT NULL DEFAULT '',
    postcode text NOT NULL DEFAULT '',
    city text NOT NULL DEFAULT '',
    country text NOT NULL DEFAULT '',
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('lead', 'active', 'inactive')),
    notes text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- What a search looks through.
    search text NOT NULL GENERATED ALWAYS AS (
        lower(name || ' ' || email || ' ' || company || ' ' || city || ' ' || phone)
    ) STORED
);
CREATE UNIQUE INDEX customers_email ON customers (lower(email));
CREATE INDEX customers_search ON customers USING gin (search gin_trgm_ops);
CREATE INDEX customers_name ON customers (name, id);
CREATE INDEX customers_created ON customers (created_at, id);
CREATE INDEX customers_updated ON customers (updated_at, id);

CREATE TABLE users (
    id uuid PRIMARY KEY,
    version bigint NOT NULL DEFAULT 1,
    name text COLLATE "C" NOT NULL UNIQUE,
    role text NOT NULL CHECK (role IN ('viewer', 'editor', 'admin')),
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz
);

-- A sign-in and all its refreshes. Only the hash of the refresh token that counts is kept.
CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    version bigint NOT NULL DEFAULT 1,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    refresh_hash bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    refreshed_at timestamptz NOT NULL DEFAULT now(),
    ends_at timestamptz NOT NULL,
    ended_at timestamptz,
    ended_why text CHECK (ended_why IN ('signed-out', 'refresh-reused', 'user-changed'))
);
CREATE INDEX sessions_user ON sessions (user_id) WHERE ended_at IS NULL;
CREATE INDEX sessions_ends ON sessions (ends_at);

-- Wrong passwords in a row, by a hash of the name, whether or not such a user exists.
CREATE TABLE sign_in_failures (
    name_hash bytea PRIMARY KEY,
    failures integer NOT NULL,
    last_at timestamptz NOT NULL DEFAULT now()
);

-- Private halves are sealed under a secret that is not in here.
CREATE TABLE signing_keys (
    kid text PRIMARY KEY,
    public_key bytea NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    signs_from timestamptz NOT NULL,
    revoked_at timestamptz
);

-- What the cache may still hold of an older version: written with the change, gone when the cache was told again.
CREATE TABLE cache_changes (
    key text PRIMARY KEY,
    version bigint NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX cache_changes_at ON cache_changes (changed_at);

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
    seq bigint PRIMARY KEY,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    act text NOT NULL,
    subject text NOT NULL,
    outcome text NOT NULL,
    detail jsonb NOT NULL,
    correlation text NOT NULL,
    previous bytea NOT NULL,
    hash bytea NOT NULL
);
CREATE INDEX audit_subject ON audit (subject, seq);
CREATE INDEX audit_actor ON audit (actor, seq);

-- The last row's number and hash. Whoever appends locks it, so that there is one chain.
CREATE TABLE audit_head (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    seq bigint NOT NULL,
    hash bytea NOT NULL
);
INSERT INTO audit_head (seq, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

-- A field with its length before it, so that no two rows are the same bytes.
CREATE FUNCTION audit_field(value text) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT int4send(octet_length(convert_to(value, 'UTF8'))) || convert_to(value, 'UTF8')
$$;

-- Appends a row. Called last in a transaction: from here to the commit nobody else appends.
CREATE FUNCTION audit_append(
    new_actor text, new_act text, new_subject text, new_outcome text, new_detail jsonb, new_correlation text,
    OUT new_seq bigint, OUT new_hash bytea
) LANGUAGE plpgsql AS $$
DECLARE
    head audit_head;
    moment timestamptz;
BEGIN
    SELECT * INTO STRICT head FROM audit_head FOR UPDATE;
    moment := clock_timestamp();
    new_seq := head.seq + 1;
    new_hash := sha256(
        head.hash || int8send(new_seq) || int8send((extract(epoch FROM moment) * 1000000)::bigint)
        || audit_field(new_actor) || audit_field(new_act) || audit_field(new_subject) || audit_field(new_outcome)
        || audit_field(new_detail::text) || audit_field(new_correlation)
    );
    INSERT INTO audit VALUES (
        new_seq, moment, new_actor, new_act, new_subject, new_outcome, new_detail, new_correlation, head.hash, new_hash
    );
    UPDATE audit_head SET seq = new_seq, hash = new_hash;
END
$$;

CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER audit_rows_stay BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_is_append_only();
CREATE TRIGGER audit_stays BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
