-- Projects, who works in them, and their tasks.
CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE TABLE projects (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    owner uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- The owner is one of them.
CREATE TABLE members (
    project_id uuid NOT NULL REFERENCES projects ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    PRIMARY KEY (project_id, user_id)
);
CREATE INDEX members_user ON members (user_id);

CREATE TABLE tasks (
    id uuid PRIMARY KEY,
    -- Grows by one with every change; it is the entity tag.
    version bigint NOT NULL DEFAULT 1,
    project_id uuid NOT NULL REFERENCES projects ON DELETE CASCADE,
    title text NOT NULL,
    description text NOT NULL DEFAULT '',
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'doing', 'done')),
    assignee uuid REFERENCES users ON DELETE SET NULL,
    due_at timestamptz,
    created_by uuid REFERENCES users ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- What a search looks through.
    search text NOT NULL GENERATED ALWAYS AS (lower(title || ' ' || description)) STORED
);
CREATE INDEX tasks_project ON tasks (project_id, id);
CREATE INDEX tasks_assignee ON tasks (assignee, id);
CREATE INDEX tasks_due ON tasks (due_at) WHERE status <> 'done';
CREATE INDEX tasks_search ON tasks USING gin (search gin_trgm_ops);
