package salesforce

import "github.com/sallyport/sallyport/tokens"

// refusalRow is a refusal whose meaning is known.
type refusalRow struct {
	code        string
	description string
	wild        bool // whatever the description
	class       tokens.Class
	source      string
}

// refusals are the pairs of error and description that mean something. What
// isn't here is a doubt, among them every 5xx, server_error, and
//   - "invalid authorization code", which says nothing of a refresh token;
//   - "authorization_pending", of a flow that sallyport doesn't use.
//
// Only what some source shows to be refused before the token is looked at may be
// [tokens.ClassRateLimited]: its token is sent again. Only what is said of the
// token itself, its user or its org may be [tokens.ClassDead].
var refusals = []refusalRow{
	{code: "invalid_grant", description: "expired access/refresh token", class: tokens.ClassDead,
		source: "Salesforce Help, remoteaccess_oauth_flow_errors"},
	{code: "invalid_grant", description: "token validity expired", class: tokens.ClassDead,
		source: "jetstream's constants"},
	{code: "invalid_grant", description: "authentication failure", class: tokens.ClassDead,
		source: "nango's error table"},
	{code: "invalid_grant", description: "authentication failure - Invalid Password", class: tokens.ClassDead,
		source: "restforce's fixtures"},
	{code: "inactive_user", wild: true, class: tokens.ClassDead,
		source: "SalesforceMobileSDK-iOS, its list of token endpoint errors"},
	{code: "inactive_org", wild: true, class: tokens.ClassDead,
		source: "SalesforceMobileSDK-iOS, its list of token endpoint errors"},

	{code: "invalid_grant", description: "token request is already being processed", class: tokens.ClassBusy,
		source: "Salesforce release notes, Summer '24 and Winter '25"},
	// The wording of the line above until September 2024. An authorization code
	// that expired is told so too; its exchange is never repeated anyway.
	{code: "invalid_grant", description: "expired authorization code", class: tokens.ClassBusy,
		source: "segmentio/action-destinations, destinations/salesforce/index.ts"},

	{code: "rate_limit_exceeded", description: "login rate exceeded", class: tokens.ClassRateLimited,
		source: "SalesforceMobileSDK-iOS, its list of token endpoint errors"},

	{code: "invalid_grant", description: "ip restricted", class: tokens.ClassMisconfigured,
		source: "setup-sfdx#17, forceworkbench#772"},
	{code: "invalid_grant", description: "user hasn't approved this consumer", class: tokens.ClassMisconfigured,
		source: "simple-salesforce, login.py"},
	{code: "invalid_grant", description: "audience is invalid", class: tokens.ClassMisconfigured,
		source: "salesforce.stackexchange.com 184363"},
	{code: "invalid_grant", description: "Audience validation failed", class: tokens.ClassMisconfigured,
		source: "Salesforce Help, OAuth 2.0 JWT Bearer Flow"},
	{code: "invalid_grant", description: "no client credentials user enabled", class: tokens.ClassMisconfigured,
		source: "singer-io/tap-salesforce, its tests"},
	{code: "invalid_grant", description: "request not supported on this domain", class: tokens.ClassMisconfigured,
		source: "reports on client_credentials at login.salesforce.com"},
	// Nobody showed these of a refresh grant, so that they latch nothing.
	{code: "invalid_grant", description: "inactive user", class: tokens.ClassMisconfigured, source: "unverified"},
	{code: "invalid_grant", description: "inactive organization", class: tokens.ClassMisconfigured, source: "unverified"},
	{code: "invalid_grant", description: "invalid assertion", class: tokens.ClassMisconfigured, source: "unverified"},
	{code: "invalid_grant", description: "user is not admin approved to access this app", class: tokens.ClassMisconfigured, source: "unverified"},

	{code: "invalid_client_id", description: "client identifier invalid", class: tokens.ClassMisconfigured,
		source: "SalesforceMobileSDK-iOS; what the old key gets after an app's rotation"},
	{code: "invalid_client", description: "invalid client credentials", class: tokens.ClassMisconfigured,
		source: "SalesforceMobileSDK-iOS; nango's error table"},
	{code: "invalid_client_credentials", wild: true, class: tokens.ClassMisconfigured,
		source: "Salesforce Help, remoteaccess_oauth_flow_errors"},
	{code: "unsupported_grant_type", description: "grant type not supported", class: tokens.ClassMisconfigured,
		source: "nango's error table"},
	{code: "unsupported_response_type", wild: true, class: tokens.ClassMisconfigured, source: "RFC 6749, section 4.1.2.1"},
	{code: "invalid_request", wild: true, class: tokens.ClassMisconfigured, source: "RFC 6749, section 5.2"},
	{code: "invalid_scope", wild: true, class: tokens.ClassMisconfigured, source: "RFC 6749, section 5.2"},
	{code: "access_denied", wild: true, class: tokens.ClassMisconfigured, source: "RFC 6749, section 4.1.2.1"},
	{code: "redirect_uri_mismatch", wild: true, class: tokens.ClassMisconfigured,
		source: "Salesforce Help, remoteaccess_oauth_flow_errors"},
	{code: "OAUTH_APP_BLOCKED", wild: true, class: tokens.ClassMisconfigured,
		source: "Salesforce Help, remoteaccess_oauth_flow_errors"},
	{code: "OAUTH_APPROVAL_ERROR_GENERIC", wild: true, class: tokens.ClassMisconfigured,
		source: "Salesforce Help, remoteaccess_oauth_flow_errors"},
}
