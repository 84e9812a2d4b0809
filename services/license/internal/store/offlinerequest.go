package store

// offlineRequestPurpose binds ciphertexts of answers to requests that were carried by hand to what they are for.
const offlineRequestPurpose = "offline-request"
