-- Orders, what was ordered, and the states that an order went through.
CREATE TABLE orders (
    id uuid PRIMARY KEY,
    -- Grows by one with every state.
    version bigint NOT NULL DEFAULT 1,
    user_id uuid NOT NULL,
    card uuid NOT NULL,
    state text NOT NULL CHECK (state IN ('placed', 'reserved', 'paid', 'confirmed', 'refunding', 'releasing', 'cancelled')),
    -- Why it is, or will be, cancelled.
    why text,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    -- When what its state asks for was asked last.
    asked_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX orders_user ON orders (user_id, id);
CREATE INDEX orders_open ON orders (asked_at) WHERE state NOT IN ('confirmed', 'cancelled');

CREATE TABLE order_lines (
    order_id uuid NOT NULL REFERENCES orders ON DELETE CASCADE,
    product_id uuid NOT NULL,
    quantity integer NOT NULL CHECK (quantity > 0),
    -- As they were when it was ordered.
    name text NOT NULL,
    unit_minor bigint NOT NULL CHECK (unit_minor >= 0),
    PRIMARY KEY (order_id, product_id)
);

CREATE TABLE order_history (
    order_id uuid NOT NULL REFERENCES orders ON DELETE CASCADE,
    version bigint NOT NULL,
    state text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_id, version)
);

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
