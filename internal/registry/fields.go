package registry

import "slices"

// fieldDiff gathers the names of fields that differ.
type fieldDiff []string

func (d *fieldDiff) add(name string, differs bool) {
	if differs {
		*d = append(*d, name)
	}
}

func appFields(a, b App) []string {
	var d fieldDiff
	d.add("clientId", a.ClientID != b.ClientID)
	d.add("clientSecret", !a.ClientSecret.Equal(b.ClientSecret))
	d.add("disabled", a.Disabled != b.Disabled)
	return d
}

func orgFields(a, b Org) []string {
	var d fieldDiff
	d.add("app", a.App != b.App)
	d.add("loginUrl", a.LoginURL != b.LoginURL)
	d.add("hosts", !slices.Equal(a.Hosts, b.Hosts))
	d.add("grant", a.Grant != b.Grant)
	d.add("sessionTimeout", a.SessionTimeout != b.SessionTimeout)
	d.add("disabled", a.Disabled != b.Disabled)
	d.add("previousName", a.PreviousName != b.PreviousName && a.Name == b.Name)
	d.add("egress", a.Egress != b.Egress)
	d.add("foreignHosts", a.ForeignHosts != b.ForeignHosts)
	return d
}

// clientFields leaves the secret out: its caller knows whether it changed.
func clientFields(a, b Client) []string {
	var d fieldDiff
	d.add("orgs", !slices.Equal(a.Orgs, b.Orgs))
	d.add("methods", !slices.Equal(a.Methods, b.Methods))
	d.add("paths", !slices.Equal(a.Paths, b.Paths))
	d.add("certificates", !slices.Equal(a.Certificates, b.Certificates))
	d.add("passthrough", !equalLists(a.Passthrough, b.Passthrough))
	d.add("limits", a.Limits != b.Limits)
	d.add("mode", a.Mode != b.Mode)
	d.add("composite", a.Composite != b.Composite)
	d.add("allow", !slices.Equal(a.Allow, b.Allow))
	d.add("traces", a.Traces != b.Traces)
	d.add("disabled", a.Disabled != b.Disabled)
	return d
}

func equalLists(a, b *[]string) bool {
	if a == nil || b == nil {
		return a == b
	}
	return slices.Equal(*a, *b)
}
