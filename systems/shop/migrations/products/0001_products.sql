-- The catalogue; what is available of a product is a copy of what inventory says.
CREATE TABLE categories (
    id text PRIMARY KEY,
    name text NOT NULL
);

CREATE TABLE products (
    id uuid PRIMARY KEY,
    -- Grows by one with every change of what is said of it; it is the entity tag.
    version bigint NOT NULL DEFAULT 1,
    sku text NOT NULL UNIQUE,
    name text NOT NULL,
    description text NOT NULL DEFAULT '',
    category text REFERENCES categories,
    -- In the smallest unit of the currency: exact.
    price_minor bigint NOT NULL CHECK (price_minor >= 0),
    currency text NOT NULL,
    removed_at timestamptz,
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX products_category ON products (category, id) WHERE removed_at IS NULL;

CREATE TABLE levels (
    product_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    available bigint NOT NULL
);

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
