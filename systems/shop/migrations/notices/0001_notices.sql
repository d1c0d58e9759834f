-- Who there is, and what they are to be told.
CREATE TABLE people (
    user_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    email text NOT NULL,
    name text NOT NULL
);

CREATE TABLE notices (
    -- Goes with every copy that is sent, so that a receiver knows one that comes twice.
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL,
    order_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('confirmed', 'cancelled')),
    text text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    attempts integer NOT NULL DEFAULT 0,
    -- Not before: the next attempt, or the end of the time that a replica has for the one it is at.
    next_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    ended_how text CHECK (ended_how IN ('sent', 'given-up')),
    error text,
    -- Nobody is told twice of one.
    UNIQUE (order_id, kind)
);
CREATE INDEX notices_next ON notices (next_at) WHERE ended_at IS NULL;
CREATE INDEX notices_ended ON notices (ended_at);

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
