/** Schema 3: words that devices send to the operator. Without a reference to the device: they may outlive it. */

export const feedback = `
CREATE TABLE feedback (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  device_id TEXT NOT NULL,
  device_name TEXT NOT NULL,
  at INTEGER NOT NULL,
  words TEXT NOT NULL,
  diagnostics TEXT
) STRICT;
CREATE INDEX feedback_device ON feedback (device_id, at);
`;
