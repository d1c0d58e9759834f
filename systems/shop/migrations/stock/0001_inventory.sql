-- What is on hand, what of it is reserved for whom, and every movement.
CREATE TABLE stock (
    product_id uuid PRIMARY KEY,
    -- Grows by one with every change.
    version bigint NOT NULL DEFAULT 1,
    on_hand bigint NOT NULL DEFAULT 0,
    reserved bigint NOT NULL DEFAULT 0,
    CHECK (reserved >= 0 AND on_hand >= reserved)
);

CREATE TABLE reservations (
    order_id uuid PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('held', 'refused', 'committed', 'expired', 'released')),
    expires_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX reservations_held ON reservations (expires_at) WHERE state = 'held';

CREATE TABLE reserved_lines (
    order_id uuid NOT NULL REFERENCES reservations,
    product_id uuid NOT NULL REFERENCES stock,
    quantity bigint NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, product_id)
);

CREATE TABLE movements (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_id uuid NOT NULL REFERENCES stock,
    -- Without one: somebody counted or delivered.
    order_id uuid,
    kind text NOT NULL CHECK (kind IN ('received', 'reserved', 'committed', 'expired', 'released', 'returned')),
    on_hand_change bigint NOT NULL,
    reserved_change bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX movements_product ON movements (product_id, seq);

CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;
CREATE TRIGGER movements_append_only BEFORE UPDATE OR DELETE ON movements FOR EACH ROW EXECUTE FUNCTION refuse();

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
