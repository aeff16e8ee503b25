/** The numbers that matter, with unit, reason and relation. A test asserts the relations. */

/** A lease that is not renewed for this long has lost its owner. */
export const LEASE_MS = 60_000;
/** Three renewals fit in a lease, so that one may fail. */
export const RENEWAL_MS = LEASE_MS / 3;
/** A renewal that takes longer counts as failed; two fit between renewals. */
export const RENEWAL_TIMEOUT_MS = 8_000;
/** Renewals that may fail in a row before the attempt gives up, while the lease still holds. */
export const RENEWAL_FAILURES = 2;
/** How often each runner looks for what a dead process left undone. */
export const REAPER_INTERVAL_MS = 30_000;
/** A queued job whose message was published this long ago is published again. */
export const REPUBLISH_AFTER_MS = 120_000;
/** An event that has waited this long was left by a dead process. */
export const EVENT_OVERDUE_MS = 15_000;

/** Infrastructure failures of one job before it fails for good. */
export const MAX_ATTEMPTS = 3;
/** Lost leases of one job before it is taken for poison. */
export const MAX_CRASHES = 5;
/** First pause before an infrastructure failure is retried; doubles with each. */
export const RETRY_BACKOFF_MS = 2_000;

/** A job that no backend could run for this long expires. */
export const BLOCKED_MAX_MS = 24 * 3600_000;

/** How long a build waits for uploads that it misses. */
export const UPLOAD_WAIT_MS = 120_000;
/** A failure while the newest input is younger than this is judged only after looking at the uploads again. */
export const UPLOAD_SETTLE_MS = 5_000;

/** How long a job waits for a free backend slot before it goes back to the queue. */
export const SLOT_WAIT_MS = 5_000;
/** A job that runs longer is ended, where its build file names no timeout. */
export const JOB_TIMEOUT_MS = 4 * 3600_000;

/** Deadline of every Firestore call; the client alone gives up after 44 s. */
export const FIRESTORE_TIMEOUT_MS = 8_000;
/** Attempts of one compare-and-set before contention is reported. */
export const CAS_ATTEMPTS = 12;

/** Acknowledgement deadline: a crashed runner's message comes back after it. */
export const ACK_DEADLINE_S = 60;
/** The Pub/Sub client stops extending a message after this; longer than any job. */
export const ACK_EXTENSION_S = (JOB_TIMEOUT_MS / 1000) * 1.5;

/** A log chunk is written when it is this old or this large. */
export const LOG_CHUNK_MS = 1_000;
export const LOG_CHUNK_BYTES = 256 * 1024;
/** Cloud Storage composes at most 32 objects at once. */
export const COMPOSE_MAX = 32;
/** Progress of a running job is written at most this often. */
export const PROGRESS_INTERVAL_MS = 2_000;
/** Counts of a build are written at most this often. */
export const COUNTS_INTERVAL_MS = 1_000;
/** Packages that finish within this time go into one write of the index. */
export const INDEX_BATCH_MS = 250;

/** Largest build file or pipeline file that is read. */
export const BUILD_FILE_BYTES = 1024 * 1024;
/** Largest source directory, all files together. */
export const SOURCE_BYTES = 256 * 1024 * 1024;
/** Most files of a source directory. */
export const SOURCE_FILES = 10_000;
/** Largest output of one build, uncompressed. */
export const OUTPUT_BYTES = 32 * 1024 ** 3;
/** Largest message on the requests topic that is read (Pub/Sub's own limit is 10 MB). */
export const REQUEST_BYTES = 10_000_000;

/** How long a runner may finish its work after SIGTERM. Kubernetes kills it after the pod's grace period. */
export const DRAIN_MS = 18_000;
/** After the drain: time to cancel what still runs and give it back. */
export const GIVE_BACK_MS = 5_000;
/** After that: time to publish packages and events that wait. */
export const FLUSH_MS = 3_000;
/** Grace period of the runner's pod; longer than the three together. */
export const GRACE_PERIOD_MS = 30_000;

/** SOURCE_DATE_EPOCH that steps see at least: zip tools refuse dates before 1980. */
export const MIN_STEP_EPOCH_S = 315_532_800;
