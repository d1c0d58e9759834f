-- A copy of the catalogue that can be searched.
CREATE TABLE documents (
    product_id uuid PRIMARY KEY,
    -- Of the product: an older word changes nothing.
    version bigint NOT NULL,
    -- Not sold any more; kept so that a late word of it changes nothing.
    removed boolean NOT NULL DEFAULT false,
    name text NOT NULL DEFAULT '',
    description text NOT NULL DEFAULT '',
    category text,
    price_minor bigint NOT NULL DEFAULT 0,
    currency text NOT NULL DEFAULT '',
    words tsvector GENERATED ALWAYS AS (
        setweight(to_tsvector('english', name), 'A') || setweight(to_tsvector('english', description), 'B')
    ) STORED
);
CREATE INDEX documents_words ON documents USING gin (words) WHERE NOT removed;

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
