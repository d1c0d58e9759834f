-- What people are to be told: written with what it tells of, in one transaction, and sent afterwards.
CREATE TABLE notifications (
    -- Goes with every copy that is sent, so that a receiver knows one that comes twice.
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    task_id uuid NOT NULL REFERENCES tasks ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('assigned', 'due')),
    -- Nobody is told twice of one: of 'assigned' the task's version, of 'due' the moment.
    occasion text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    attempts integer NOT NULL DEFAULT 0,
    -- Not before: the next attempt, or the end of the time that a replica has for the one it is at.
    next_at timestamptz NOT NULL DEFAULT now(),
    mailed_at timestamptz,
    hooked_at timestamptz,
    ended_at timestamptz,
    ended_how text CHECK (ended_how IN ('sent', 'overtaken', 'given-up')),
    error text,
    UNIQUE (task_id, user_id, kind, occasion)
);
CREATE INDEX notifications_next ON notifications (next_at) WHERE ended_at IS NULL;
CREATE INDEX notifications_ended ON notifications (ended_at);
