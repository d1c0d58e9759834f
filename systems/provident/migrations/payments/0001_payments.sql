-- What was paid out; one for a claim, whatever happens.
CREATE TABLE payments (
    claim_id uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    member_id uuid NOT NULL,
    amount_paise bigint NOT NULL CHECK (amount_paise > 0),
    account text NOT NULL,
    ifsc text NOT NULL,
    state text NOT NULL CHECK (state IN ('paid', 'returned')),
    why text,
    at timestamptz NOT NULL DEFAULT now()
);

-- Double entry: what left the fund's account reached the member's, or came back.
CREATE TABLE transfers (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    claim_id uuid NOT NULL REFERENCES payments,
    account text NOT NULL CHECK (account IN ('fund', 'bank')),
    paise bigint NOT NULL CHECK (paise <> 0),
    at timestamptz NOT NULL DEFAULT now(),
    -- Nothing is transferred twice.
    UNIQUE (claim_id, account)
);

CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;
CREATE TRIGGER payments_append_only BEFORE UPDATE OR DELETE ON payments FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER transfers_append_only BEFORE UPDATE OR DELETE ON transfers FOR EACH ROW EXECUTE FUNCTION refuse();

CREATE TABLE outbox (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    topic text NOT NULL,
    body jsonb NOT NULL
);
CREATE TABLE inbox (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now()
);
