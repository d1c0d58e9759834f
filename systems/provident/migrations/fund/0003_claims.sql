-- What members want paid out, in the shard of their organization. Whether it is granted the workflow service says.
CREATE TABLE claims (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    member_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('advance', 'settlement', 'pension')),
    amount_paise bigint NOT NULL CHECK (amount_paise > 0),
    -- Where to: an account and its bank's branch.
    account text NOT NULL,
    ifsc text NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'refused', 'owed', 'paid', 'returned')),
    why text,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, member_id) REFERENCES members (organization_id, id)
) PARTITION BY HASH (organization_id);
-- Nobody has two at a time.
CREATE UNIQUE INDEX claims_one ON claims (organization_id, member_id) WHERE state IN ('open', 'owed');
CREATE INDEX claims_member ON claims (organization_id, member_id, id);

DO $$
BEGIN
    FOR remainder IN 0..15 LOOP
        EXECUTE format('CREATE TABLE claims_%s PARTITION OF claims FOR VALUES WITH (MODULUS 16, REMAINDER %s)',
            lpad(remainder::text, 2, '0'), remainder);
    END LOOP;
END $$;

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
