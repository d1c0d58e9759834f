-- Cases that people decide, step by step.
CREATE TABLE cases (
    -- The claim's.
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    member_id uuid NOT NULL,
    opened_by uuid NOT NULL,
    kind text NOT NULL,
    amount_paise bigint NOT NULL,
    state text NOT NULL DEFAULT 'opened' CHECK (state IN ('opened', 'verified', 'approved', 'granted', 'rejected', 'withdrawn')),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX cases_waiting ON cases (state, id);
CREATE INDEX cases_organization ON cases (organization_id, id);

-- Who did what; never changed.
CREATE TABLE acts (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id uuid NOT NULL REFERENCES cases,
    act text NOT NULL CHECK (act IN ('verify', 'approve', 'sanction', 'reject', 'withdraw')),
    by uuid NOT NULL,
    note text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    -- No step is taken twice …
    UNIQUE (case_id, act)
);
-- … nor two of them by one person.
CREATE UNIQUE INDEX acts_of_different_people ON acts (case_id, by) WHERE act IN ('verify', 'approve', 'sanction');

CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;
CREATE TRIGGER acts_append_only BEFORE UPDATE OR DELETE ON acts FOR EACH ROW EXECUTE FUNCTION refuse();

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
