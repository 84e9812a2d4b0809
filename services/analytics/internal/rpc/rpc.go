// Package rpc answers what peer services ask analytics.
package rpc

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	analyticsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/analytics/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/analytics/v1/analyticsv1connect"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// Callers says which service may ask what.
var Callers = rpc.Callers{
	analyticsv1connect.AnalyticsServiceLicenseStatisticsProcedure: {"admin"},
	analyticsv1connect.AnalyticsServiceLicenseUsageProcedure:      {"admin"},
	analyticsv1connect.AnalyticsServiceLicenseRefusalsProcedure:   {"admin"},
	analyticsv1connect.AnalyticsServiceStatisticsProcedure:        {"admin"},
}

// maxPerPage is the most that a page of refusals holds.
const maxPerPage = 100

type server struct{ reports *usage.Reports }

// NewHandler returns the path and the handler of AnalyticsService.
func NewHandler(r *usage.Reports, opts ...connect.HandlerOption) (string, http.Handler) {
	return analyticsv1connect.NewAnalyticsServiceHandler(server{r}, opts...)
}

// LicenseStatistics implements analyticsv1connect.AnalyticsServiceHandler.
func (s server) LicenseStatistics(
	ctx context.Context, req *connect.Request[analyticsv1.LicenseStatisticsRequest],
) (*connect.Response[analyticsv1.LicenseStatisticsResponse], error) {
	f, err := s.reports.Figures(ctx, req.Msg.LicenseId)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&analyticsv1.LicenseStatisticsResponse{
		ValidationsTotal:      float64(f.ValidationsTotal),
		Validations_24H:       float64(f.Validations24h),
		FailedValidations_24H: float64(f.Failures24h),
		LastValidatedAt:       event.Timestamp(f.LastValidatedAt),
		RiskScore:             float64(f.RiskScore),
	}), nil
}

// LicenseUsage implements analyticsv1connect.AnalyticsServiceHandler.
func (s server) LicenseUsage(
	ctx context.Context, req *connect.Request[analyticsv1.LicenseUsageRequest],
) (*connect.Response[analyticsv1.LicenseUsageResponse], error) {
	days := int(req.Msg.Days)
	if days < 1 || days > usage.MaxDays {
		return nil, apierr.InvalidField("days", fmt.Sprintf("must be a whole number from 1 to %d", usage.MaxDays))
	}
	total, daily, err := s.reports.Usage(ctx, req.Msg.LicenseId, days)
	if err != nil {
		return nil, err
	}
	res := &analyticsv1.LicenseUsageResponse{Totals: newCounts(&total)}
	for i := range daily {
		res.Daily = append(res.Daily, &analyticsv1.DayUsage{
			Date:   daily[i].Date.Format(time.DateOnly),
			Counts: newCounts(&daily[i]),
		})
	}
	return connect.NewResponse(res), nil
}

func newCounts(d *usage.DayUsage) *analyticsv1.UsageCounts {
	return &analyticsv1.UsageCounts{
		Validations:       float64(d.Validations),
		FailedValidations: float64(d.Failures),
		Activations:       float64(d.Activations),
		Deactivations:     float64(d.Deactivations),
		Heartbeats:        float64(d.Heartbeats),
		UniqueDevices:     float64(d.UniqueDevices),
	}
}

// LicenseRefusals implements analyticsv1connect.AnalyticsServiceHandler.
func (s server) LicenseRefusals(
	ctx context.Context, req *connect.Request[analyticsv1.LicenseRefusalsRequest],
) (*connect.Response[analyticsv1.LicenseRefusalsResponse], error) {
	page, perPage := int(req.Msg.Page), int(req.Msg.PerPage)
	if page < 1 || perPage < 1 || perPage > maxPerPage {
		return nil, apierr.InvalidField("page", "must be 1 or more, and per_page from 1 to 100")
	}
	found, err := s.reports.Refusals(ctx, req.Msg.LicenseId, page, perPage)
	if err != nil {
		return nil, err
	}
	res := &analyticsv1.LicenseRefusalsResponse{Since: event.Timestamp(found.Since), Total: int32(found.Total)}
	for i := range found.Devices {
		r := &found.Devices[i]
		res.Refusals = append(res.Refusals, &analyticsv1.Refusal{
			HardwareId: r.HardwareID, ErrorCode: r.ErrorCode, DeviceName: r.DeviceName, AppVersion: r.AppVersion,
			Ip: r.IP, Count: int32(r.Count), FirstAt: event.Timestamp(r.First), LastAt: event.Timestamp(r.Last),
		})
	}
	return connect.NewResponse(res), nil
}

// Statistics implements analyticsv1connect.AnalyticsServiceHandler.
func (s server) Statistics(
	ctx context.Context, _ *connect.Request[analyticsv1.StatisticsRequest],
) (*connect.Response[analyticsv1.StatisticsResponse], error) {
	f, err := s.reports.FleetFigures(ctx)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&analyticsv1.StatisticsResponse{
		Validations_24H: float64(f.Validations24h), FailedValidations_24H: float64(f.Failures24h),
		AnomaliesOpen: int32(f.AnomaliesOpen), Anomalies_24H: int32(f.Anomalies24h),
	}), nil
}
