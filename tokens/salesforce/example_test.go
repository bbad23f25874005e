package salesforce_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/internal/egress"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/internal/sfsim"
	"github.com/sallyport/sallyport/tokens/salesforce"
)

// A guard is asked once the connection stands, right before the first byte: what
// it refuses was not sent, and the token is as good as before.
func ExampleNew() {
	ctx := context.Background()
	server, token, x, err := simulatedExchanger()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	for _, guard := range []func() error{func() error { return errors.New("the lock was lost") }, noGuard} {
		line, err := x.Connect(ctx, org)
		if err != nil {
			fmt.Println(err)
			return
		}
		answer, sent, err := line.Send(ctx, refreshWith(token), guard)
		line.Close()
		if !sent {
			fmt.Println("sent:", sent, err)
			continue
		}
		issue, err := x.Parse(answer)
		fmt.Println("sent:", sent, issue.InstanceURL, "rotated:", !issue.Refresh.Equal(token), err)
	}
	// Output:
	// sent: false the lock was lost
	// sent: true https://acme.my.salesforce.com rotated: true <nil>
}

// simulatedExchanger is an Exchanger that reaches a simulated Salesforce on
// loopback by way of the real egress, and a refresh token.
func simulatedExchanger() (server *sfsim.Server, token secret.Text, x *salesforce.Exchanger, err error) {
	sim, err := sfsim.New(sfsim.Options{Seed: 1})
	if err != nil {
		return nil, token, nil, err
	}
	app := testApp()
	_, err = sim.AddOrg(sfsim.Org{Host: host})
	if err = errors.Join(err, sim.AddApp(sfsim.App{ClientID: app.ClientID, ClientSecret: app.ClientSecret.Reveal(), RTR: true})); err != nil {
		return nil, token, nil, err
	}
	grant, err := sim.Authorize(app.ClientID, host, "")
	if err != nil {
		return nil, token, nil, err
	}
	if server, err = sim.Start("127.0.0.1:0"); err != nil {
		return nil, token, nil, err
	}
	e, err := egress.New(egress.Options{Resolve: map[string]string{host + ":443": server.Addr()}, Roots: sim.CertPool()})
	if err != nil {
		return nil, token, nil, errors.Join(err, server.Close())
	}
	x, err = salesforce.New(salesforce.Options{Dialer: salesforce.Via(e), Apps: apps{app}})
	return server, secret.NewText(grant.RefreshToken), x, err
}
