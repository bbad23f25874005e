package main

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/admin"
)

// What an SRE is told of each way in which an exchange may end.
func TestStories(t *testing.T) {
	for name, tc := range map[string]struct {
		line admin.Exchange
		says []string
	}{
		"a lost answer": {admin.Exchange{Outcome: "unknown", Race: "in_doubt", Generation: 4, Answer: "none", AnswerTime: "1m0s", Address: "203.0.113.7", Detail: "timeout"},
			[]string{"in doubt (unknown)", "not sent again", "no answer came within 1m0s; sent from 203.0.113.7", "timeout"}},
		"a doubt that was settled": {admin.Exchange{Outcome: "lost", Generation: 4, Reason: "settle"},
			[]string{"doubt settled", "generation 4 is spent", "a person must authorise again"}},
		"nothing sent": {admin.Exchange{Outcome: "not_sent", Generation: 4, Detail: "no connection"},
			[]string{"nothing was sent", "no refresh token was sent", "no connection"}},
		"a near miss": {admin.Exchange{Outcome: "issued", Generation: 5, Answer: "token", LeaseMargin: 0.1},
			[]string{"generation 4 → 5", "10 % of the attempt's time was left: a near miss"}},
		"a call that asked": {admin.Exchange{Outcome: "issued", Reason: "rejected", Origin: "0af7651916cd43dd8448eb211c80319c"},
			[]string{"Salesforce refused the access token; asked for by the call of trace 0af7651916cd43dd8448eb211c80319c"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := race{Exchange: tc.line}.story()
			for _, s := range tc.says {
				if !strings.Contains(got, s) {
					t.Errorf("the story doesn't say %q:\n%s", s, got)
				}
			}
		})
	}
}

func TestStandingSaysWhatToDo(t *testing.T) {
	for state, want := range map[string]string{"in_doubt": "grant settle acme", "reauth_required": "grant authorize acme", "quarantined": "grant confirm acme"} {
		if got := standing(admin.Org{Name: "acme", Grant: &admin.Grant{State: state}}); !strings.Contains(got, want) {
			t.Errorf("%s: %q doesn't say %q", state, got, want)
		}
	}
}
