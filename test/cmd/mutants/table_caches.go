//go:build unix

package main

// caches: what was revoked is refused within a second, everywhere.
var caches = []mutant{
	{
		name: "cache-ignores-drop", breaks: "the cache keeps what it was told to drop",
		file: "pkg/cache/cache.go",
		old:  "	c.values.Invalidate(k)\n}", new: "}",
		pkg: "./pkg/cache", tests: "TestDropRace TestDropStartsAnotherLoad",
	},
	{
		name: "cache-ignores-drop-all", breaks: "the cache keeps everything when it should forget everything",
		file: "pkg/cache/cache.go",
		old:  "	c.values.InvalidateAll()\n", new: "",
		pkg: "./pkg/apikey", tests: "TestGuardForgetsOnEvents",
	},
	{
		name: "cache-load-beats-drop", breaks: "a value that was loaded while it changed is kept",
		file: "pkg/cache/cache.go",
		old:  "		f.dropped = true\n		delete(c.flights, k)", new: "		delete(c.flights, k)",
		pkg: "./pkg/cache", tests: "TestDropDuringLoadWins",
	},
	{
		name: "cache-held-outlives-drop", breaks: "who remembers where a value is held goes on with it after it was dropped",
		file: "pkg/cache/cache.go",
		old:  "e.gone.Load() || ", new: "",
		pkg: "./pkg/cache", tests: "TestWhatIsHeldEndsWithItsEntry TestDropAllEndsWhatIsHeld",
	},
	{
		name: "cache-outlives-link", breaks: "a replica that hears no invalidations trusts its cache for minutes",
		file: "pkg/cache/cache.go",
		old:  "		d = c.opts.Unlinked\n", new: "		_ = c.opts.Unlinked\n",
		pkg: "./pkg/cache", tests: "TestAges",
	},
	{
		name: "lookup-ignores-events", breaks: "a changed license stays cached",
		file: "services/license/internal/store/lookup.go",
		old:  "	l.licenses.DropUnless(e.Subject, func(l *licensing.License) bool { return shows(l.Version) })\n", new: "",
		pkg: licenseStore, tests: "TestLookupIsWarmUntilSomethingChanges",
	},
	{
		name: "lookup-keeps-devices", breaks: "a device that was transferred or deactivated stays cached",
		file: "services/license/internal/store/lookup.go",
		old:  "			l.devices.DropUnless(seat{e.Subject, hardwareID}, func(d *licensing.ActiveDevice) bool { return shows(d.ActivatedVersion) })\n",
		new:  "",
		pkg:  licenseStore, tests: "TestLookupIsWarmUntilSomethingChanges",
	},
	{
		name: "replica-deaf-to-licenses", breaks: "a replica of license does not hear what another changed",
		file: "services/license/license.go",
		old:  "			s.lookup.OnEvent(e)\n", new: "",
		pkg: licenseAPI, tests: "TestReplicasHearOfEachOther",
	},
	{
		name: "replica-deaf-to-keys", breaks: "a replica of license does not hear that an API key was revoked",
		file: "services/license/license.go",
		old:  "			s.guard.OnEvent(e)\n", new: "",
		pkg: licenseAPI, tests: "TestRevocationsAreHeard",
	},
	{
		name: "replica-deaf-to-families", breaks: "a replica of license does not hear that a token family was revoked",
		file: "services/license/license.go",
		old:  "			s.families.OnEvent(e)\n", new: "",
		pkg: licenseAPI, tests: "TestRevocationsAreHeard",
	},
	{
		name: "guard-ignores-revocation", breaks: "a revoked API key stays cached",
		file: "pkg/apikey/guard.go",
		old:  "return k.ID == changed.ID", new: "return false && k.ID == changed.ID",
		pkg: "./pkg/apikey", tests: "TestGuardForgetsOnEvents",
	},
	{
		name: "replica-deaf-to-signing-keys", breaks: "a replica of license does not hear that a signing key was revoked",
		file: "services/license/license.go",
		old:  "			s.signingKeys.OnEvent(e)\n", new: "",
		pkg: licenseAPI, tests: "TestM12RevokedSigningKey",
	},
	{
		name: "auth-deaf-to-signing-keys", breaks: "a replica of auth does not hear that a signing key was rotated or revoked",
		file: "services/auth/auth.go",
		old:  "			s.rules.OnEvent(e)\n", new: "",
		pkg: authTests, tests: "TestM12RevokedSigningKey TestRotateSigningKey",
	},
	{
		name: "verifier-outlives-key", breaks: "a token that was verified once is good without its key",
		file: "pkg/token/verifier.go",
		old:  "		err = v.stands(ctx, known.signer)\n", new: "",
		pkg: "./pkg/token", tests: "TestM12RememberedTokensEndWithTheirKey",
	},
	{
		name: "keys-outlive-link", breaks: "a replica that hears of no revocation trusts signing keys for minutes",
		file: "pkg/token/keycache.go",
		old:  "		bound = unlinked\n", new: "		_ = unlinked\n",
		pkg: "./pkg/token", tests: "TestRemoteKeys",
	},
	{
		name: "keys-fetch-beats-drop", breaks: "a key set that was fetched while a key was revoked is kept",
		file: "pkg/token/keycache.go",
		old:  "	c.newest = c.fetches\n", new: "",
		pkg: "./pkg/token", tests: "TestDropDuringAFetchWins",
	},
	{
		name: "keys-fetched-for-each-kid", breaks: "tokens with made-up kids make a fetch of the key set each",
		file: "pkg/token/keycache.go",
		old:  "	time.Sleep(wait)\n", new: "	_ = wait\n",
		pkg: "./pkg/token", tests: "TestL13UnknownKidsCannotMakeAFetchEach",
	},
	{
		name: "revoked-key-signs-on", breaks: "a replica signs with a revoked key until it has heard",
		file: "services/auth/internal/credential/ring.go",
		old:  "		if stands {\n", new: "		if stands || !stands {\n",
		pkg: authTests, tests: "TestM12WithoutTheBus",
	},
}
