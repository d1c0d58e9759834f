-- What hangs on claims, in the shard of the organization; the bytes lie in the object storage under the same id.
CREATE TABLE documents (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    claim_id uuid NOT NULL,
    name text NOT NULL,
    media_type text NOT NULL,
    bytes bigint NOT NULL,
    sha256 bytea NOT NULL,
    brought_by uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, claim_id) REFERENCES claims (organization_id, id)
) PARTITION BY HASH (organization_id);
CREATE INDEX documents_claim ON documents (organization_id, claim_id, id);

DO $$
BEGIN
    FOR remainder IN 0..15 LOOP
        EXECUTE format('CREATE TABLE documents_%s PARTITION OF documents FOR VALUES WITH (MODULUS 16, REMAINDER %s)',
            lpad(remainder::text, 2, '0'), remainder);
    END LOOP;
END $$;
