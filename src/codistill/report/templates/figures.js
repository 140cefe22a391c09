const places = [...document.querySelectorAll('.plot')];
for (const place of places) {
  const figure = JSON.parse(document.getElementById(place.id + '-data').textContent);
  Plotly.newPlot(place, figure.data, figure.layout,
    {responsive: true, displaylogo: false, modeBarButtons: [['toImage', 'resetScale2d']]});
}
addEventListener('beforeprint', () => places.forEach(p => Plotly.relayout(p, {autosize: false, width: 680})));
addEventListener('afterprint', () => places.forEach(p => Plotly.relayout(p, {autosize: true, width: null})));
