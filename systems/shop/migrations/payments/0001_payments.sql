-- Cards, payments, and the ledger of what moved.
CREATE TABLE cards (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    last_four text NOT NULL,
    expires text NOT NULL,
    -- What this test card does: nobody is charged.
    behaviour text NOT NULL CHECK (behaviour IN ('approves', 'declines', 'lacks-funds')),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX cards_user ON cards (user_id, id);

-- One for an order, whatever happens.
CREATE TABLE payments (
    id uuid PRIMARY KEY,
    order_id uuid NOT NULL UNIQUE,
    user_id uuid NOT NULL,
    card uuid NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency text NOT NULL,
    state text NOT NULL CHECK (state IN ('captured', 'declined', 'refunded')),
    why text,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- Double entry: the entries of each step of a payment sum to zero.
CREATE TABLE entries (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payment_id uuid NOT NULL REFERENCES payments,
    step text NOT NULL CHECK (step IN ('authorise', 'capture', 'refund')),
    account text NOT NULL CHECK (account IN ('card', 'held', 'shop')),
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    -- No step happens twice.
    UNIQUE (payment_id, step, account)
);

CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;
CREATE TRIGGER entries_append_only BEFORE UPDATE OR DELETE ON entries FOR EACH ROW EXECUTE FUNCTION refuse();

-- What is to be published, and what was heard.
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
