//go:build unix

package main

// caches: what was revoked is refused within a second, everywhere.
var caches = []mutant{
	{
		name:   "cache-load-beats-drop",
		breaks: "a value that was loaded while it changed is kept",
		dir:    "pkg/cache",
		in:     "Drop",
		edit:   drop("l.dropped = true"),
		pkg:    "./pkg/cache", tests: "TestDropDuringLoadWins",
	},
	{
		name:   "cache-outlives-link",
		breaks: "a replica that hears no invalidations trusts its cache for minutes",
		dir:    "pkg/cache",
		edit:   drop("d = c.opts.Unlinked"),
		pkg:    "./pkg/cache", tests: "TestAges",
	},
	{
		name:   "lookup-ignores-events",
		breaks: "a changed license stays cached",
		dir:    "services/license/internal/store",
		in:     "OnEvent",
		edit:   drop("l.licenses.DropUnless"),
		pkg:    licenseStore, tests: "TestLookupIsWarmUntilSomethingChanges",
	},
	{
		name:   "replica-deaf-to-licenses",
		breaks: "a replica of license does not hear what another changed",
		dir:    "services/license",
		edit:   replace("Watches(), s.lookup, ", "Watches(), "),
		pkg:    licenseAPI, tests: "TestReplicasHearOfEachOther",
	},
	{
		name:   "replica-deaf-to-keys",
		breaks: "a replica of license does not hear that an API key was revoked",
		dir:    "services/license",
		edit:   replace(", s.guard)", ")"),
		pkg:    licenseAPI, tests: "TestRevocationsAreHeard",
	},
	{
		name:   "replica-deaf-to-families",
		breaks: "a replica of license does not hear that a token family was revoked",
		dir:    "services/license",
		edit:   replace("s.auth.Families, ", ""),
		pkg:    licenseAPI, tests: "TestRevocationsAreHeard",
	},
	{
		name:   "verifier-outlives-key",
		breaks: "a token that was verified once is good without its key",
		dir:    "pkg/token",
		edit:   drop("v.stands("),
		pkg:    "./pkg/token", tests: "TestM12RememberedTokensEndWithTheirKey",
	},
}

// credentials: nobody gets in who should not, nor does more than the credential covers.
var credentials = []mutant{
	{
		name:   "token-never-expires",
		breaks: "an expired token passes",
		dir:    "pkg/token",
		in:     "required",
		edit:   never("expires.Time"),
		pkg:    "./pkg/token", tests: "TestVerify TestVerifierNoticesExpiryOfWhatItRemembers",
	},
	{
		name:   "offline-token-as-access",
		breaks: "license takes an offline token for an access token",
		dir:    "pkg/token",
		edit:   replace("jwt.WithAudience(audience), ", ""),
		pkg:    licenseAPI, tests: "TestOfflineToken",
	},
	{
		name:   "reuse-revokes-nothing",
		breaks: "a refresh token used twice leaves its family in force",
		dir:    "services/auth/internal/credential",
		edit:   drop("err = s.reused("),
		pkg:    authTests, tests: "TestReuseRevokesTheFamily",
	},
	{
		name:   "family-revocation-unasked",
		breaks: "access tokens of a revoked family pass at license",
		dir:    "services/license/internal/api",
		in:     "verify",
		edit:   replace("if refused", "if false && refused"),
		pkg:    licenseAPI, tests: "TestRevokedFamilyIsRefused",
	},
	{
		name:   "limit-sharing-unset",
		breaks: "license counts calls per replica although the setting says shared",
		dir:    "pkg/app",
		edit:   never("s.RateLimitShared"),
		pkg:    licenseAPI, tests: "TestReplicasShareALimit",
	},
	{
		name:   "endpoint-unchecked",
		breaks: "an API key opens endpoints that it does not cover",
		dir:    "pkg/apikey",
		in:     "Require",
		edit:   replace("!Allows(key.Allowed, c.Request.URL.Path)", "false"),
		pkg:    "./pkg/apikey", tests: "TestGuardOrderAndHeaders",
	},
	{
		name:   "guesses-unlimited",
		breaks: "an address that failed too often goes on guessing",
		dir:    "pkg/guard",
		in:     "limited",
		edit:   replace("!credential.made", "false"),
		pkg:    "./pkg/guard", tests: "TestM4TheRightGuessIsNotAnsweredEither",
	},
	{
		name:   "role-unchecked",
		breaks: "any admin key may do everything",
		dir:    "services/admin/internal/api",
		edit:   never("Role.Covers"),
		pkg:    "./services/admin", tests: "TestRoleMatrix",
	},
	{
		name:   "if-match-ignored",
		breaks: "If-Match holds no change up",
		dir:    "services/license/internal/licensing",
		edit:   never("*a.ifVersion !="),
		pkg:    licenseAPI, tests: "TestVersions",
	},
	{
		name:   "callers-unlisted",
		breaks: "any service may ask any procedure of another",
		dir:    "pkg/rpc",
		in:     "admit",
		edit:   never("g.callers["),
		pkg:    licenseAPI, tests: "TestM9WhoMayAskWhat",
	},
	{
		name:   "actor-by-anybody",
		breaks: "any service may manage licenses and API keys in anybody's name",
		dir:    "pkg/rpc",
		in:     "admit",
		edit:   never("callers, claims.Issuer"),
		pkg:    licenseAPI, tests: "TestM9WhoMayAskWhat",
	},
	{
		name:   "service-speaks-for-another",
		breaks: "the key of one service signs for every other",
		dir:    "pkg/rpc",
		edit:   replace("find(claims.Issuer, kid)", `find("analytics", kid)`),
		pkg:    "./pkg/rpc", tests: "TestTokenAttacks",
	},
}
